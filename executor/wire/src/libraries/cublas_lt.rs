//! Written by executor/cuda/generate/libraries.py from the header's declarations: functions that are forwarded.

use super::*;

/// Hands its functions, and what their parameters are, to a macro.
#[rustfmt::skip]
#[macro_export]
macro_rules! cublas_lt_functions { ($to:ident) => { $to! {
    cublasLtCreate(lightHandle: Created(Lt));
    cublasLtDestroy(lightHandle: Destroyed(Lt));
    cublasLtEmulationDescCreate(emulationDesc: Created(EmulationDesc));
    cublasLtEmulationDescDestroy(emulationDesc: Destroyed(EmulationDesc));
    cublasLtEmulationDescGetAttribute(emulationDesc: Handle(EmulationDesc), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtEmulationDescInit_internal(emulationDesc: Place(EmulationDesc), size: Long);
    cublasLtEmulationDescSetAttribute(emulationDesc: Changed(EmulationDesc), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
    cublasLtGetCudartVersion() -> Size;
    cublasLtGetProperty(type_: Int, value: Output(4));
    cublasLtGetStatusName(status: Int) -> Text;
    cublasLtGetStatusString(status: Int) -> Text;
    cublasLtGetVersion() -> Size;
    cublasLtHeuristicsCacheGetCapacity(capacity: Output(8));
    cublasLtHeuristicsCacheSetCapacity(capacity: Long);
    cublasLtMatmul(lightHandle: Handle(Lt), computeDesc: Handle(MatmulDesc), alpha: Scalar(0), A: Device, Adesc: Handle(MatrixLayout), B: Device, Bdesc: Handle(MatrixLayout), beta: Scalar(0), C: Device, Cdesc: Handle(MatrixLayout), D: Device, Ddesc: Handle(MatrixLayout), algo: Input(64), workspace: Device, workspaceSizeInBytes: Long, stream: Stream);
    cublasLtMatmulAlgoCapGetAttribute(algo: Input(64), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatmulAlgoCheck(lightHandle: Handle(Lt), operationDesc: Handle(MatmulDesc), Adesc: Handle(MatrixLayout), Bdesc: Handle(MatrixLayout), Cdesc: Handle(MatrixLayout), Ddesc: Handle(MatrixLayout), algo: Input(64), result: Output(96));
    cublasLtMatmulAlgoCheckForStream(lightHandle: Handle(Lt), operationDesc: Handle(MatmulDesc), Adesc: Handle(MatrixLayout), Bdesc: Handle(MatrixLayout), Cdesc: Handle(MatrixLayout), Ddesc: Handle(MatrixLayout), algo: Input(64), result: Output(96), stream: Stream);
    cublasLtMatmulAlgoConfigGetAttribute(algo: Input(64), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatmulAlgoConfigSetAttribute(algo: Change(64), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
    cublasLtMatmulAlgoGetHeuristic(lightHandle: Handle(Lt), operationDesc: Handle(MatmulDesc), Adesc: Handle(MatrixLayout), Bdesc: Handle(MatrixLayout), Cdesc: Handle(MatrixLayout), Ddesc: Handle(MatrixLayout), preference: Handle(Preference), requestedAlgoCount: Int, heuristicResultsArray: Outputs(7, 96), returnAlgoCount: Output(4));
    cublasLtMatmulAlgoGetHeuristicForStream(lightHandle: Handle(Lt), operationDesc: Handle(MatmulDesc), Adesc: Handle(MatrixLayout), Bdesc: Handle(MatrixLayout), Cdesc: Handle(MatrixLayout), Ddesc: Handle(MatrixLayout), preference: Handle(Preference), requestedAlgoCount: Int, heuristicResultsArray: Outputs(7, 96), returnAlgoCount: Output(4), stream: Stream);
    cublasLtMatmulAlgoGetIds(lightHandle: Handle(Lt), computeType: Int, scaleType: Int, Atype: Int, Btype: Int, Ctype: Int, Dtype: Int, requestedAlgoCount: Int, algoIdsArray: Outputs(7, 4), returnAlgoCount: Output(4));
    cublasLtMatmulAlgoInit(lightHandle: Handle(Lt), computeType: Int, scaleType: Int, Atype: Int, Btype: Int, Ctype: Int, Dtype: Int, algoId: Int, algo: Output(64));
    cublasLtMatmulDescCreate(matmulDesc: Created(MatmulDesc), computeType: Int, scaleType: Int);
    cublasLtMatmulDescDestroy(matmulDesc: Destroyed(MatmulDesc));
    cublasLtMatmulDescGetAttribute(matmulDesc: Handle(MatmulDesc), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatmulDescInit_internal(matmulDesc: Place(MatmulDesc), size: Long, computeType: Int, scaleType: Int);
    cublasLtMatmulDescSetAttribute(matmulDesc: Changed(MatmulDesc), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
    cublasLtMatmulPreferenceCreate(pref: Created(Preference));
    cublasLtMatmulPreferenceDestroy(pref: Destroyed(Preference));
    cublasLtMatmulPreferenceGetAttribute(pref: Handle(Preference), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatmulPreferenceInit_internal(pref: Place(Preference), size: Long);
    cublasLtMatmulPreferenceSetAttribute(pref: Changed(Preference), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
    cublasLtMatrixLayoutCreate(matLayout: Created(MatrixLayout), type_: Int, rows: Long, cols: Long, ld: Long);
    cublasLtMatrixLayoutDestroy(matLayout: Destroyed(MatrixLayout));
    cublasLtMatrixLayoutGetAttribute(matLayout: Handle(MatrixLayout), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatrixLayoutInit_internal(matLayout: Place(MatrixLayout), size: Long, type_: Int, rows: Long, cols: Long, ld: Long);
    cublasLtMatrixLayoutSetAttribute(matLayout: Changed(MatrixLayout), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
    cublasLtMatrixTransform(lightHandle: Handle(Lt), transformDesc: Handle(TransformDesc), alpha: Scalar(0), A: Device, Adesc: Handle(MatrixLayout), beta: Scalar(0), B: Device, Bdesc: Handle(MatrixLayout), C: Device, Cdesc: Handle(MatrixLayout), stream: Stream);
    cublasLtMatrixTransformDescCreate(transformDesc: Created(TransformDesc), scaleType: Int);
    cublasLtMatrixTransformDescDestroy(transformDesc: Destroyed(TransformDesc));
    cublasLtMatrixTransformDescGetAttribute(transformDesc: Handle(TransformDesc), attr: Attribute, buf: Outputs(3, 1), sizeInBytes: Long, sizeWritten: Output(8));
    cublasLtMatrixTransformDescInit_internal(transformDesc: Place(TransformDesc), size: Long, scaleType: Int);
    cublasLtMatrixTransformDescSetAttribute(transformDesc: Changed(TransformDesc), attr: Attribute, buf: Inputs(3, 1), sizeInBytes: Long);
} }; }

cublas_lt_functions!(functions);

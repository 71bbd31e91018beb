// Written by executor/cuda/generate/names.py from the headers' declarations: functions that are not forwarded.
absent! { 15:
    cublasLtDisableCpuInstructionsSetMask
    cublasLtEmulationDescInit
    cublasLtGroupedMatrixLayoutCreate
    cublasLtGroupedMatrixLayoutInit
    cublasLtGroupedMatrixLayoutInit_internal
    cublasLtLoggerForceDisable
    cublasLtLoggerOpenFile
    cublasLtLoggerSetCallback
    cublasLtLoggerSetFile
    cublasLtLoggerSetLevel
    cublasLtLoggerSetMask
    cublasLtMatmulDescInit
    cublasLtMatmulPreferenceInit
    cublasLtMatrixLayoutInit
    cublasLtMatrixTransformDescInit
}

// Written by executor/cuda/generate/names.py from the headers' declarations: functions that are not forwarded.
absent! { 15:
    cublasGemmGroupedBatchedEx
    cublasGemmGroupedBatchedEx_64
    cublasGetLoggerCallback
    cublasLoggerConfigure
    cublasMigrateComputeType
    cublasRotgEx
    cublasRotmgEx
    cublasSetLoggerCallback
    cublasXerbla
}

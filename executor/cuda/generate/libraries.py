#!/usr/bin/env python3
"""Writes executor/wire/src/libraries/{cublas,cublas_lt,cudnn}.rs: the functions that are forwarded, and what their parameters are.

    python3 executor/cuda/generate/libraries.py INCLUDE_FOLDER...

The folders are those of the toolkit's and the libraries' headers (of NVIDIA's wheels: nvidia/*/include). Run names.py after it: it
lists what is left. A parameter's type says most of what a call needs: a number, a handle, a stream, an address on the device. What
types do not tell (how long an array is, whether a pointer is the host's) is in the tables below. A function of which something is
not known is left out, and so is one whose arguments mean nothing in another process (callbacks, files, graphs).
"""

import pathlib
import re
import subprocess
import sys
import tempfile

TO = pathlib.Path(__file__).resolve().parent.parent.parent / "wire/src/libraries"
LIBRARIES = {"cublas": "cublas_api.h", "cublas_lt": "cublasLt.h", "cudnn": "cudnn.h"}
PREFIX = {"cublas": "cublas", "cublas_lt": "cublasLt", "cudnn": "cudnn"}

# Handles and descriptors: C's type, ours.
OBJECTS = {
    "cublasHandle_t": "Blas",
    "cublasLtHandle_t": "Lt",
    "cublasLtMatmulDesc_t": "MatmulDesc",
    "cublasLtMatrixLayout_t": "MatrixLayout",
    "cublasLtMatrixTransformDesc_t": "TransformDesc",
    "cublasLtMatmulPreference_t": "Preference",
    "cublasLtEmulationDesc_t": "EmulationDesc",
    "cudnnHandle_t": "Dnn",
    "cudnnBackendDescriptor_t": "Backend",
    **{f"cudnn{name}Descriptor_t": name for name in (
        "Tensor", "Filter", "Convolution", "Pooling", "Activation", "LRN", "OpTensor", "ReduceTensor", "TensorTransform",
        "SpatialTransformer", "Dropout", "RNN", "RNNData", "SeqData", "Attn", "CTCLoss")},
}
OBJECTS = {c: ours.replace("LRN", "Lrn").replace("RNN", "Rnn").replace("CTC", "Ctc") for c, ours in OBJECTS.items()}

# Functions whose arguments mean nothing in another process, or are not told by the header: host arrays of unknown length, callbacks,
# files, graphs. Functions of the host's memory (cublasSetMatrix and its like) are in executor/cuda/src/library/host.rs.
LEFT_OUT = re.compile(
    r"Logger|Callback|Xerbla|DisableCpuInstructions|cublas[SG]et(Vector|Matrix)|FusedOps|CudaGraph|Gnn|MultiHeadAttn"
    r"|cudnnCTCLoss$|cudnnGetCTCLossWorkspaceSize$|QueryRuntimeError|Rotm?gEx|MigrateComputeType|GroupedMatrixLayout"
    r"|CausalConv1dGetBuffer"
)

# Lengths of arrays on the host: function, parameter: the parameter that counts, and bytes of an element.
ARRAYS = {
    ("cudnnGetLastErrorString", "message"): ("max_size", 1),
    ("cudnnSetRNNDataDescriptor", "seqLengthArray"): ("batchSize", 4),
    ("cudnnSetSeqDataDescriptor", "dimA"): ("nbDims", 4),
    ("cudnnSetSeqDataDescriptor", "axes"): ("nbDims", 4),
    ("cudnnSetSeqDataDescriptor", "seqLengthArray"): ("seqLengthArraySize", 4),
    ("cudnnGetSeqDataDescriptor", "seqLengthArray"): ("seqLengthSizeRequested", 4),
    ("cublasLtMatmulAlgoGetHeuristic", "heuristicResultsArray"): ("requestedAlgoCount", "cublasLtMatmulHeuristicResult_t"),
    ("cublasLtMatmulAlgoGetHeuristicForStream", "heuristicResultsArray"): ("requestedAlgoCount", "cublasLtMatmulHeuristicResult_t"),
    ("cublasLtMatmulAlgoGetIds", "algoIdsArray"): ("requestedAlgoCount", 4),
}
COUNTS = ["nbDimsRequested", "arrayLengthRequested", "nbDims", "arrayLength"]
# Parameters that are none of what their type says.
SPECIAL = {
    ("cudnnBackendSetAttribute", "arrayOfElements"): "Elements",
    ("cudnnBackendGetAttribute", "arrayOfElements"): "Found",
    ("cublasLtMatmulAlgoConfigSetAttribute", "algo"): "Change(64)",
}
# Which of a function's handles it changes: the first, but for these.
CHANGES = re.compile(r"Set|Restore|Derive|Finalize|BackendInitialize|BuildRNN|RNNWeightParams|InitTransformDest")
CHANGED = {"cudnnGetRNNWeightParams": ["mDesc", "bDesc"], "cudnnInitTransformDest": ["destDesc"],
           "cudnnBuildRNNDynamic": ["rnnDesc"], "cudnnSetTensor": [],
           "cudnnDeriveNormTensorDescriptor": ["derivedNormScaleBiasDesc", "derivedNormMeanVarDesc"]}
SCALARS = {"float": 4, "double": 8, "cuComplex": 8, "cuDoubleComplex": 16, "__half": 2, "void": 0}
WORDS = {"int": "Int", "int32_t": "Int", "unsigned": "Int", "uint32_t": "Int", "size_t": "Long", "int64_t": "Long",
         "uint64_t": "Long", "long long int": "Long", "unsigned long long": "Long", "long long": "Long", "float": "Float",
         "double": "Double"}


def preprocessed(header, folders):
    command = ["g++", "-E", "-P", "-x", "c++", "-DCUBLASAPI=", *(f"-I{folder}" for folder in folders), "-include", header]
    return subprocess.run([*command, "/dev/null"], capture_output=True, text=True, check=True).stdout


def declarations(text, prefix):
    """Name, result and parameters (type, name, whether it is an array) of the functions that are exported."""
    text = re.sub(r'extern "C" \{', "", text)
    while (shorter := re.sub(r"\{[^{}]*\}", ";", text)) != text:
        text = shorter
    found = {}
    for result, name, all_parameters in re.findall(rf"([\w\s\*]+?)\b({prefix}[A-Z]\w*)\s*\(([^;()]*)\)\s*;", text):
        if "static" in result.split() or (prefix == "cublas" and name.startswith("cublasLt")):
            continue
        parameters = []
        for parameter in all_parameters.split(","):
            match = re.fullmatch(r"(.*?)(\w+)\s*((?:\[\w*\])?)", " ".join(parameter.split()))
            if match and match[1]:
                kind = re.sub(r"\s*\*\s*", "*", match[1]).strip()
                parameters.append((kind, match[2], bool(match[3])))
        found[name] = (" ".join(result.split()), parameters)
    return found


def sizes(types, folders):
    """Bytes of C's types, as the compiler has them."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder, "sizes.cc"), pathlib.Path(folder, "sizes")
        lines = "".join(f'std::printf("%zu\\n", sizeof({name}));' for name in types)
        headers = "".join(f"#include <{header}>\n" for header in LIBRARIES.values())
        source.write_text(f"#include <cstdio>\n{headers}int main() {{ {lines} }}\n")
        subprocess.run(["g++", *(f"-I{folder}" for folder in folders), str(source), "-o", str(program)], check=True)
        return dict(zip(types, map(int, subprocess.run([program], capture_output=True, text=True).stdout.split())))


class Unknown(Exception):
    pass


def array(name, parameter, parameters, size):
    """The parameter that counts an array's elements, and bytes of one."""
    names = [other for _, other, _ in parameters]
    counter, element = ARRAYS.get((name, parameter), (next((count for count in COUNTS if count in names), None), size))
    if counter is None:
        raise Unknown(parameter)
    return names.index(counter), element


def kind_of(library, name, parameters, index, size_of):
    kind, parameter, is_array = parameters[index]
    if (name, parameter) in SPECIAL:
        return SPECIAL[name, parameter]
    constant = kind.startswith("const ") or " const*" in kind
    base = re.sub(r"\bconst\b", "", kind).replace(" *", "*").strip()
    base = " ".join(base.split())
    plain, stars = base.rstrip("*").strip(), base.count("*") + is_array
    is_enumeration = plain not in WORDS and plain not in OBJECTS and plain not in SCALARS and plain.startswith(("cu", "libraryP"))
    if stars == 0:
        if plain in OBJECTS:
            if name.endswith("Init_internal"):
                return f"Place({OBJECTS[plain]})"
            if re.search(r"Destroy", name):
                return f"Destroyed({OBJECTS[plain]})"
            first = next(other for base, other, _ in parameters if re.sub(r"\bconst\b", "", base).strip() in OBJECTS)
            changed = CHANGED.get(name, [first]) if CHANGES.search(name) else []
            return f"{'Changed' if parameter in changed else 'Handle'}({OBJECTS[plain]})"
        if plain == "cudaStream_t":
            return "Stream"
        if plain in WORDS:
            return WORDS[plain]
        if is_enumeration:
            return "Attribute" if parameter in ("attr", "attributeName") else "Int"
        raise Unknown(kind)
    if plain in OBJECTS:
        if stars != 1:
            raise Unknown(kind)
        return f"{'Created' if 'Create' in name else 'Name'}({OBJECTS[plain]})"
    if plain == "cudaStream_t":
        return "StreamName"
    if library == "cublas":
        if re.fullmatch(r"(trans[ab]|[mnk]|ld[abc]|alpha|beta)_array|group_size", parameter):
            names = [other for _, other, _ in parameters]
            size = 16 if plain == "void" else SCALARS.get(plain) or {"int": 4, "int64_t": 8}.get(plain, 4)
            if plain == "void":
                raise Unknown(parameter)
            return f"Inputs({names.index('group_count')}, {size})"
        if stars == 2 and is_array or parameter in ("Aarray", "Barray", "Carray", "devInfoArray", "infoArray", "devIpiv"):
            return "Device"
        if parameter == "info":
            return "Output(4)" if re.search(r"getrs|geqrf|gels", name) else "Device"
        if constant and parameter in ("alpha", "beta", "c", "s", "y1") or (constant and parameter == "param"):
            if plain not in SCALARS:
                raise Unknown(kind)
            return f"Scalar({SCALARS[plain] * (5 if parameter == 'param' else 1) if plain != 'void' or parameter != 'param' else 40})"
        if parameter == "result" or "rotg" in name or "rotmg" in name:
            size = {"int": 4, "int64_t": 8}.get(plain, SCALARS.get(plain))
            if size is None:
                raise Unknown(kind)
            if "rotg" in name or "rotmg" in name:
                return f"Both({size * (5 if parameter == 'param' else 1)})"
            if size == 0:
                names = [other for _, other, _ in parameters]
                return f"Typed({names.index('resultType')})"
            return f"Result({size})"
        if stars == 2 or plain in SCALARS or plain in ("signed char", "char", "unsigned char", "__nv_bfloat16", "int8_t"):
            return "Output(8)" if stars == 2 and name.startswith("cublasGet") else "Device"
        if name.startswith("cublasGet") and not constant:
            return f"Output({4 if plain == 'int' or is_enumeration else 8})"
        if parameter in ("P", "PivotArray", "ipiv", "mantissaBitCount"):
            return "Device"
        raise Unknown(kind)
    if plain == "void" and stars == 1:
        if library == "cublas_lt":
            if parameter == "buf":
                names = [other for _, other, _ in parameters]
                return f"{'Inputs' if constant else 'Outputs'}({names.index('sizeInBytes')}, 1)"
            return "Scalar(0)" if re.fullmatch(r"alpha|beta", parameter) else "Device"
        if constant and re.match(r"alpha|beta|valuePtr", parameter) or parameter == "paddingFill":
            return "Output(8)" if "Get" in name else "Scalar(0)"
        return "Device"
    if plain == "void":
        return "Output(8)"
    if re.match(r"devSeq", parameter) or (name == "cudnnCTCLoss_v8" and is_array):
        return "Device"
    if plain == "char" and not is_array and ("cudnnGetLastErrorString", parameter) not in ARRAYS:
        raise Unknown(kind)
    size = {"int": 4, "unsigned": 4, "int32_t": 4, "uint32_t": 4, "size_t": 8, "int64_t": 8, "double": 8, "float": 4, "char": 1,
            "unsigned long long": 8}.get(plain) or (size_of(plain) if is_enumeration else None)
    if size is None:
        raise Unknown(kind)
    if is_array or (name, parameter) in ARRAYS or parameter == "perfResults":
        if parameter == "perfResults":
            index, element = [other for _, other, _ in parameters].index("requestedAlgoCount"), size
        else:
            index, element = array(name, parameter, parameters, size)
        element = size_of(element) if isinstance(element, str) else element
        return f"{'Inputs' if constant else 'Outputs'}({index}, {element})"
    if constant:
        return f"Input({size})"
    return f"Output({size})"


def row(library, name, result, parameters, size_of):
    kinds = [kind_of(library, name, parameters, i, size_of) for i in range(len(parameters))]
    floats = sum(kind in ("Float", "Double") for kind in kinds)
    if len(kinds) - floats > 40 or floats > 8:
        raise Unknown("too many parameters")
    end = {"size_t": " -> Size", "const char *": " -> Text", "const char*": " -> Text", "void": " -> Nothing"}.get(result, "")
    if not end and not result.endswith("Status_t"):
        raise Unknown(result)
    names = [re.sub(r"^(in|type|mod|ref|fn)$", r"\1_", parameter) for _, parameter, _ in parameters]
    return f"    {name}({', '.join(f'{n}: {k}' for n, k in zip(names, kinds))}){end};\n"


def main():
    folders = [pathlib.Path(word) for word in sys.argv[1:]]
    known = {}

    def size_of(name):
        if name not in known:
            known.update(sizes([name], folders))
        return known[name]

    for library, header in LIBRARIES.items():
        rows = ""
        for name, (result, parameters) in sorted(declarations(preprocessed(header, folders), PREFIX[library]).items()):
            if LEFT_OUT.search(name):
                continue
            try:
                rows += row(library, name, result, parameters, size_of)
            except Unknown as reason:
                print(f"{name}: left out: {reason}", file=sys.stderr)
        (TO / f"{library}.rs").write_text(
            "//! Written by executor/cuda/generate/libraries.py from the header's declarations: functions that are forwarded.\n\n"
            "use super::*;\n\n/// Hands its functions, and what their parameters are, to a macro.\n"
            f"#[rustfmt::skip]\n#[macro_export]\nmacro_rules! {library}_functions {{ ($to:ident) => {{ $to! {{\n{rows}}} }}; }}\n"
            f"\n{library}_functions!(functions);\n"
        )
        print(f"{library}: {rows.count(';')} forwarded", file=sys.stderr)


main()

#!/usr/bin/env python3
"""Writes executor/cuda/src/names/*.rs: the functions of CUDA's libraries that are not forwarded.

    python3 executor/cuda/generate/names.py INCLUDE_FOLDER...

The folders are those of the toolkit's and the libraries' headers (of NVIDIA's wheels: nvidia/*/include). Each header is
preprocessed, so that a function has the name that is exported (cublasCreate_v2, not cublasCreate), and its declarations are read.
What this library has is left out; every other function gets an entry that says which call is missing. Only names go into the
output. Names that PyTorch imports and no header here declares come from executor/cuda/tests/pytorch.txt.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
# Library: headers, beginning of its names, its code for "not supported".
LIBRARIES = {
    "cudart": (["cuda_runtime_api.h"], "cuda", 801),
    "cuda": (["cuda.h"], "cu", 801),
    "cublas": (["cublas_api.h"], "cublas", 15),
    "cublas_lt": (["cublasLt.h"], "cublasLt", 15),
    "cudnn": (["cudnn.h"], "cudnn", 3000),
    "cusparse": (["cusparse.h"], "cusparse", 10),
    "cusolver": (["cusolverDn.h", "cusolverSp.h", "cusolverRf.h"], "cusolver", 7),
    "cufft": (["cufft.h"], "cufft", 16),
    "nccl": (["nccl.h"], "nccl", 5),
}


def find(header, folders):
    return next((folder / header for folder in folders if (folder / header).exists()), None)


def declared(path, prefix, folders):
    """Names of the functions that a header declares."""
    command = ["g++", "-E", "-P", "-x", "c++", "-DCUBLASAPI=", *(f"-I{folder}" for folder in folders), str(path)]
    # Thrice: programs with a default stream a thread call some functions by other names, old programs do, too.
    texts = (subprocess.run(command + more, capture_output=True, text=True, check=True).stdout
             for more in ([], ["-DCUDA_API_PER_THREAD_DEFAULT_STREAM"], ["-D__CUDA_API_VERSION_INTERNAL"]))
    text = "\n".join(texts)
    text = re.sub(r'extern "C" \{', "", text)
    # Bodies of inline functions call other functions.
    while (shorter := re.sub(r"\{[^{}]*\}", ";", text)) != text:
        text = shorter
    return set(re.findall(rf"\b({prefix}[A-Z]\w*)\s*\((?!\s*\*)[^;()]*(?:\([^()]*\)[^;()]*)*\)[^;(){{}}]*;", text))


def present():
    """Names that this library exports, from its source."""
    names = set()
    for path in (HERE / "src").glob("**/*.rs"):
        if path.parent.name == "names":
            continue
        text = path.read_text()
        names |= set(re.findall(r'extern "C" fn (\w+)', text))
        # Macros whose entries are functions: names at their first level, before arguments or other names.
        for block in re.findall(r"^(?:calls|copies|launches|driver_launches|alike|vectors|matrices)! \{\n(.*?)^\}", text, re.M | re.S):
            names |= set(re.findall(r"^    (?=(\w+(?: \w+)*))", block, re.M) and sum(
                (line.split() for line in re.findall(r"^    (\w+(?: \w+)*)", block, re.M)), []))
    # Those that are forwarded by their parameters' kinds (libraries.py).
    for path in (HERE.parent / "wire/src/libraries").glob("cu*.rs"):
        names |= set(re.findall(r"^    (\w+)\(", path.read_text(), re.M))
    return names


def main():
    folders = [pathlib.Path(word) for word in sys.argv[1:]]
    imported = [line.strip() for line in (HERE / "tests/pytorch.txt").read_text().splitlines() if not line.startswith("#")]
    have, taken = present(), set()
    # The longer beginning first: cublasLt before cublas, cuda and all others before cu.
    for library, (headers, prefix, code) in sorted(LIBRARIES.items(), key=lambda entry: -len(entry[1][1])):
        paths = [find(header, folders) for header in headers]
        if not all(paths):
            print(f"{library}: no {headers}; its file is left as it is", file=sys.stderr)
            continue
        names = set().union(*(declared(path, prefix, folders) for path in paths))
        names |= {name for name in imported if name.startswith(prefix) and name[len(prefix)].isupper()}
        names -= taken
        taken |= names
        names = sorted(names - have)
        lines = "".join(f"    {name}\n" for name in names)
        target = HERE / "src/names" / f"{library}.rs"
        target.write_text(
            "// Written by executor/cuda/generate/names.py from the headers' declarations: functions that are not forwarded.\n"
            f"absent! {{ {code}:\n{lines}}}\n"
        )
        print(f"{library}: {len(names)} not forwarded", file=sys.stderr)


main()

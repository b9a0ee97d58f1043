"""`snippet`: a model file's facts put into the program of one language."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from compress.core.formats import Format
from compress.core.outputs import OutputKind
from compress.core.preprocess import Preprocess
from compress.errors import UsageError
from compress.runtime.predictor import Predictor
from compress.runtime.tflite_predictor import TensorDetail, TflitePredictor

Language = Literal["python", "raspberry-pi", "android", "ios", "c++", "node", "browser"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
_TEMPLATES = Path(__file__).parent / "templates"
_OF_FORMAT: dict[Language, dict[Format, str]] = {
    "python": {Format.ONNX: "onnx.py", Format.TFLITE: "tflite.py"},
    "raspberry-pi": {Format.TFLITE: "tflite.py"},
    "android": {Format.TFLITE: "android"},
    "ios": {Format.TFLITE: "ios"},
    "c++": {Format.ONNX: "cpp"},
    "node": {Format.ONNX: "node"},
    "browser": {Format.ONNX: "browser"},
}
_PI_CORES, _ANY_CORES = 4, 1
# Pillow's filters, by interpolation: how far one reaches, and its value at a distance t, in each language.
_REACH = {"bilinear": 1, "bicubic": 2}
_NEAR, _FAR = "(1.5 * a - 2.5) * a * a + 1", "((-0.5 * a + 2.5) * a - 4) * a + 2"
_KERNELS = {
    "bilinear": {
        "JS": "(t) => Math.max(0, 1 - Math.abs(t))",
        "KT": "max(0.0, 1 - abs(t))",
        "SWIFT": "max(0, 1 - abs(t))",
        "C": "return std::max(0.0, 1 - std::abs(t));",
    },
    "bicubic": {
        "JS": f"(t, a = Math.abs(t)) => (a < 1 ? {_NEAR} : a < 2 ? {_FAR} : 0)",
        "KT": f"abs(t).let {{ a -> if (a < 1) {_NEAR} else if (a < 2) {_FAR} else 0.0 }}",
        "SWIFT": f"let a = abs(t); return a < 1 ? {_NEAR} : a < 2 ? {_FAR} : 0",
        "C": f"double a = std::abs(t); return a < 1 ? {_NEAR} : a < 2 ? {_FAR} : 0;",
    },
}
_SOFTMAX = {
    "PY": "shares = np.exp(outputs - outputs.max())\nshares /= shares.sum()",
    "JS": "const most = Math.max(...outputs), powers = Array.from(outputs, (value) => Math.exp(value - most));\n"
    "  const sum = powers.reduce((a, b) => a + b), shares = powers.map((power) => power / sum);",
    "KT": "val powers = outputs.map { exp(it - outputs.max()) }; val shares = powers.map { it / powers.sum() }",
    "SWIFT": "let powers = outputs.map { exp($0 - outputs.max()!) }, sum = powers.reduce(0, +), "
    "shares = powers.map { $0 / sum }",
    "C": "double most = *std::max_element(shares.begin(), shares.end()), sum = 0;\n"
    "    for (double& share : shares) sum += share = std::exp(share - most);\n"
    "    for (double& share : shares) share /= sum;",
}
_AS_THEY_ARE = {
    "PY": "shares = outputs",
    "JS": "const shares = Array.from(outputs);",
    "KT": "val shares = outputs",
    "SWIFT": "let shares = outputs",
    "C": "",
}


def snippet(predictor: Predictor, language: Language) -> str:
    """Return the program for an opened model file; it expects the file beside it, by its name.

    Raises:
        UsageError: the language runs files of another format.
    """
    by_format = _OF_FORMAT[language]
    if predictor.format not in by_format:
        wanted = " or ".join(f".{fmt.value}" for fmt in by_format)
        fits = ", ".join(one for one in LANGUAGES if predictor.format in _OF_FORMAT[one])
        raise UsageError(
            f"{predictor.path}: {language} runs {wanted} files here",
            hint=f"imgc export --format {next(iter(by_format)).value} makes one"
            + (f"; this one is for {fits}" if fits else ""),
        )
    _require_crop(predictor.spec.preprocess, predictor.path)
    text = _template(by_format[predictor.format]).replace("@PREPARE@", _template("prepare.js").rstrip())
    for name, value in _values(predictor, language).items():
        text = text.replace(f"@{name}@", value)
    return text


def _require_crop(preprocess: Preprocess, path: Path) -> None:
    if preprocess.fit != "crop":
        raise UsageError(
            f"{path}: its images are fitted by '{preprocess.fit}', and the programs written here cut a centre square",
            hint="classify with `imgc predict` or `imgc serve`",
        )


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def _values(predictor: Predictor, language: Language) -> dict[str, str]:
    spec = predictor.spec
    preprocess = spec.preprocess
    interpolation = preprocess.interpolation
    labels = [_text(label, language) for label in spec.labels]
    return {
        "FILE": predictor.path.name,
        "STEM": predictor.path.stem,
        "LABELS": f"[{', '.join(labels)}]",
        "LABELS_LIST": ", ".join(labels),
        "SIZE": str(preprocess.crop_px),
        "SHARE": f"{preprocess.crop_px}.0 / {preprocess.resize_px}",
        "FILTER": interpolation.upper(),
        "REACH": str(_REACH[interpolation]),
        "THREADS": str(_PI_CORES if language == "raspberry-pi" else _ANY_CORES),
        "CHANNEL": "c" if preprocess.channel_order == "RGB" else "(2 - c)",
        "CHANNELS_PY": "" if preprocess.channel_order == "RGB" else "[..., ::-1]",
        **_channels("MEAN", preprocess.mean),
        **_channels("STD", preprocess.std),
        **{f"KERNEL_{key}": text for key, text in _KERNELS[interpolation].items()},
        **{f"SHARES_{key}": text for key, text in _shares(spec.outputs).items()},
        **(_ends(*predictor.ends) if isinstance(predictor, TflitePredictor) else {}),
    }


def _ends(source: TensorDetail, sink: TensorDetail) -> dict[str, str]:
    """Return how a value gets into the file's input and out of its output, in Kotlin and Swift."""
    return {**_into(source), **_out_of(sink)}


def _into(detail: TensorDetail) -> dict[str, str]:
    dtype, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype == np.float32:
        return {"BYTES": "4", "PUT_KT": "buffer.putFloat(value)", "TYPE_SWIFT": "Float", "PUT_SWIFT": "value"}
    swift, least, most = _INTEGERS[dtype.name]
    return {
        "BYTES": "1",
        "PUT_KT": f"buffer.put(((value / {scale!r}f).roundToInt() + {zero}).coerceIn({least}, {most}).toByte())",
        "TYPE_SWIFT": swift,
        "PUT_SWIFT": f"{swift}(min({most}, max({least}, (value / {scale!r}).rounded() + {zero})))",
    }


def _out_of(detail: TensorDetail) -> dict[str, str]:
    dtype, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype == np.float32:
        return {"ARRAY_KT": "FloatArray", "READ_KT": "it", "OUT_SWIFT": "Float", "READ_SWIFT": "$0"}
    number = "(it.toInt() and 255)" if dtype == np.uint8 else "it"  # Kotlin's bytes are signed
    return {
        "ARRAY_KT": "ByteArray",
        "READ_KT": f"({number} - {zero}) * {scale!r}f",
        "OUT_SWIFT": _INTEGERS[dtype.name][0],
        "READ_SWIFT": f"Float(Int($0) - ({zero})) * {scale!r}",
    }


_INTEGERS = {"int8": ("Int8", -128, 127), "uint8": ("UInt8", 0, 255)}


def _channels(name: str, values: tuple[float, float, float]) -> dict[str, str]:
    plain = [repr(float(value)) for value in values]
    return {
        name: f"[{', '.join(plain)}]",
        f"{name}_C": ", ".join(plain),
        f"{name}_F": ", ".join(f"{value}f" for value in plain),
    }


def _shares(outputs: OutputKind) -> dict[str, str]:
    return _SOFTMAX if outputs == "logits" else _AS_THEY_ARE


_ESCAPES: dict[Language, Callable[[str], str]] = {
    "android": lambda text: text.replace("$", "\\$"),
    "browser": lambda text: text.replace("<", "\\u003c"),
}


def _text(label: str, language: Language) -> str:
    """Return a label in quotes; JSON's escapes are those of all these languages, but for a few signs."""
    return _ESCAPES.get(language, str)(json.dumps(label, ensure_ascii=language not in _UTF8))


_UTF8: tuple[Language, ...] = ("ios", "c++")  # have other escapes for what is not ASCII

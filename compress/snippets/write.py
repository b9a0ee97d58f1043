"""`snippet`: a model file's facts put into the program of one language."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, get_args

from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.errors import UsageError
from compress.runtime.detector import Detector
from compress.runtime.predictor import Predictor
from compress.snippets.boxes import box_phrases, box_values
from compress.snippets.ends import end_values
from compress.snippets.phrases import BARS, KERNELS, REACH, SHARES, SQUARES

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
_DOES = {"classify": "Classify an image", "detect": "Find boxes in an image"}
_PI_CORES, _ANY_CORES = 4, 1
_LINE = re.compile(r"^( *)@([A-Z_]+)@\n", re.MULTILINE)
_NAME = re.compile(r"@([A-Z_]+)@")


def snippet(model: Predictor | Detector, language: Language) -> str:
    """Return the program for an opened model file; it expects the file beside it, by its name.

    Raises:
        UsageError: the language runs files of another format.
    """
    by_format = _OF_FORMAT[language]
    if model.format not in by_format:
        wanted = " or ".join(f".{fmt.value}" for fmt in by_format)
        fits = ", ".join(one for one in LANGUAGES if model.format in _OF_FORMAT[one])
        raise UsageError(
            f"{model.path}: {language} runs {wanted} files here",
            hint=f"imgc export --format {next(iter(by_format)).value} makes one"
            + (f"; this one is for {fits}" if fits else ""),
        )
    text = _template(by_format[model.format])
    for found in (_parts(model.spec), _phrases(model.spec), _values(model, language)):
        text = _filled(text, found)
    return text


def _filled(text: str, found: Mapping[str, str]) -> str:
    """Return the text with what was found under each name; on a line of its own it may be many lines, or none."""

    def lines(match: re.Match[str]) -> str:
        if match[2] not in found:
            return match[0]
        return "".join(f"{match[1]}{line}".rstrip() + "\n" for line in found[match[2]].splitlines())

    return _NAME.sub(lambda match: found.get(match[1], match[0]), _LINE.sub(lines, text))


def _template(name: str) -> str:
    return (_TEMPLATES / f"{name}.txt").read_text(encoding="utf-8")


def _parts(spec: ModelSpec) -> dict[str, str]:
    """Return what programs of several runtimes have in common."""
    answers = {"PY": "py", "JS": "js", "KT": "kt", "SWIFT": "swift", "C": "cpp"}
    return {
        "IMAGE_PY": _template("image.py"),
        "CODING_PY": _template("coding.py") if spec.boxes else "",
        "PREPARE_JS": _template("prepare.js"),
        **{f"ANSWER_{language}": _template(f"{spec.task}.{suffix}") for language, suffix in answers.items()},
    }


def _phrases(spec: ModelSpec) -> dict[str, str]:
    preprocess = spec.preprocess
    shares = SHARES["softmax" if spec.outputs == "logits" else "none"]
    return {
        **SQUARES[preprocess.fit],
        **BARS[preprocess.fit == "letterbox"],
        **{f"KERNEL_{language}": code for language, code in KERNELS[preprocess.interpolation].items()},
        **{f"SHARES_{language}": code for language, code in shares.items()},
        **(box_phrases(spec.boxes) if spec.boxes else {}),
    }


def _values(model: Predictor | Detector, language: Language) -> dict[str, str]:
    spec = model.spec
    preprocess = spec.preprocess
    labels = [_text(label, language) for label in spec.labels]
    return {
        "FILE": model.path.name,
        "STEM": model.path.stem,
        "VERB": spec.task,
        "DOES": _DOES[spec.task],
        "LABELS": f"[{', '.join(labels)}]",
        "LABELS_LIST": ", ".join(labels),
        "SIZE": str(preprocess.crop_px),
        "SHARE": f"{preprocess.crop_px}.0 / {preprocess.resize_px}",
        "FILTER": preprocess.interpolation.upper(),
        "REACH": str(REACH[preprocess.interpolation]),
        "THREADS": str(_PI_CORES if language == "raspberry-pi" else _ANY_CORES),
        "CHANNEL": "c" if preprocess.channel_order == "RGB" else "(2 - c)",
        "CHANNELS_PY": "" if preprocess.channel_order == "RGB" else "[..., ::-1]",
        **_channels("MEAN", preprocess.mean),
        **_channels("STD", preprocess.std),
        **(box_values(spec.boxes) if spec.boxes else {}),
        **(end_values(model) if model.format is Format.TFLITE else {}),
    }


def _channels(name: str, values: tuple[float, float, float]) -> dict[str, str]:
    plain = [repr(float(value)) for value in values]
    return {
        name: f"[{', '.join(plain)}]",
        f"{name}_C": ", ".join(plain),
        f"{name}_F": ", ".join(f"{value}f" for value in plain),
    }


_ESCAPES: dict[Language, Callable[[str], str]] = {
    "android": lambda text: text.replace("$", "\\$"),
    "browser": lambda text: text.replace("<", "\\u003c"),
}


def _text(label: str, language: Language) -> str:
    """Return a label in quotes; JSON's escapes are those of all these languages, but for a few signs."""
    return _ESCAPES.get(language, str)(json.dumps(label, ensure_ascii=language not in _UTF8))


_UTF8: tuple[Language, ...] = ("ios", "c++")  # have other escapes for what is not ASCII

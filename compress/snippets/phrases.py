"""The pieces of code that depend on a model's facts, in each language: PY, JS, KT (Kotlin), SWIFT and C (C++)."""

from __future__ import annotations

from collections.abc import Mapping

Phrase = Mapping[str, str]  # language -> code

# Pillow's filters, by interpolation: how far one reaches, and its value at a distance t.
REACH = {"bilinear": 1, "bicubic": 2}
_NEAR, _FAR = "(1.5 * a - 2.5) * a * a + 1", "((-0.5 * a + 2.5) * a - 4) * a + 2"
KERNELS: dict[str, Phrase] = {
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
# What makes `shares` of `outputs`: of one row of them, and in PY_ROWS of many.
SHARES: dict[str, Phrase] = {
    "softmax": {
        "PY": "shares = np.exp(outputs - outputs.max())\nshares /= shares.sum()",
        "PY_ROWS": "shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))\n"
        "shares /= shares.sum(axis=1, keepdims=True)",
        "JS": "const most = Math.max(...outputs), powers = Array.from(outputs, (value) => Math.exp(value - most));\n"
        "const sum = powers.reduce((a, b) => a + b), shares = powers.map((power) => power / sum);",
        "KT": "val most = outputs.max(); val powers = outputs.map { exp(it - most) }\n"
        "val sum = powers.sum(); val shares = powers.map { it / sum }",
        "SWIFT": "let most = outputs.max()!, powers = outputs.map { exp($0 - most) }, sum = powers.reduce(0, +)\n"
        "let shares = powers.map { $0 / sum }",
        "C": "double most = *std::max_element(shares.begin(), shares.end()), sum = 0;\n"
        "for (double& share : shares) sum += share = std::exp(share - most);\n"
        "for (double& share : shares) share /= sum;",
    },
    "sigmoid": {
        "PY_ROWS": "shares = np.exp(-np.logaddexp(0, -outputs))  # sigmoid",
        "JS": "const shares = Array.from(outputs, (value) => 1 / (1 + Math.exp(-value)));",
        "KT": "val shares = outputs.map { 1 / (1 + exp(-it)) }",
        "SWIFT": "let shares = outputs.map { 1 / (1 + exp(-$0)) }",
        "C": "for (double& share : shares) share = 1 / (1 + std::exp(-share));",
    },
    "none": {
        "PY": "shares = outputs",
        "PY_ROWS": "shares = outputs",
        "JS": "const shares = Array.from(outputs);",
        "KT": "val shares = outputs",
        "SWIFT": "let shares = outputs",
        "C": "",
    },
}
# How an image becomes a square: in Python all at once (SQUARE), and where the square lies in the image (PART), which
# only boxes need; elsewhere by side (PLACED), where BARS and GREY are the bars of a letterbox.
SQUARES: dict[str, Phrase] = {
    "crop": {
        "SIDE_PY": "SIZE, SHARE = @SIZE@, @SHARE@  # side that the model sees; what of the short side is cut",
        "SQUARE_PY": "width = height = min(image.size) * SHARE\n"
        "left, top = (image.width - width) / 2, (image.height - height) / 2\n"
        "box = left, top, left + width, top + height\n"
        "square = image.resize((SIZE, SIZE), Image.Resampling.@FILTER@, box=box)",
        "PART_PY": "",
        "PLACED_JS": "const side = Math.min(length, other) * @SHARE@;\nreturn [(length - side) / 2, side, 0, SIZE];",
        "PLACED_KT": "val side = min(length, other) * @SHARE@\nreturn Span((length - side) / 2, side, 0, SIZE)",
        "PLACED_SWIFT": "let side = Double(min(length, other)) * @SHARE@\n"
        "return ((Double(length) - side) / 2, side, 0, size)",
        "PLACED_C": "double side = std::min(length, other) * @SHARE@;\nreturn {(length - side) / 2, side, 0, SIZE};",
    },
    "stretch": {
        "SIDE_PY": "SIZE = @SIZE@  # side that the model sees",
        "SQUARE_PY": "square = image.resize((SIZE, SIZE), Image.Resampling.@FILTER@)",
        "PART_PY": "(width, height), (left, top) = image.size, (0, 0)",
        "PLACED_JS": "return [0, length, 0, SIZE];",
        "PLACED_KT": "return Span(0.0, length.toDouble(), 0, SIZE)",
        "PLACED_SWIFT": "return (0, Double(length), 0, size)",
        "PLACED_C": "return {0.0, double(length), 0, SIZE};",
    },
    "letterbox": {
        "SIDE_PY": "SIZE = @SIZE@  # side that the model sees",
        "SQUARE_PY": "made = [max(1, round(side * SIZE / max(image.size))) for side in image.size]\n"
        "bars = [(SIZE - side) // 2 for side in made]\n"
        'square = Image.new("RGB", (SIZE, SIZE), (114, 114, 114))\n'
        "square.paste(image.resize(made, Image.Resampling.@FILTER@), tuple(bars))",
        "PART_PY": "width, height = (SIZE * side / size for side, size in zip(image.size, made))\n"
        "left, top = (-bar * side / size for bar, side, size in zip(bars, image.size, made))",
        "PLACED_JS": "const exact = (length * SIZE) / Math.max(length, other), near = Math.round(exact);\n"
        "const made = Math.max(1, near - (near - exact === 0.5 && near % 2)); // a half goes to the even number\n"
        "return [0, length, (SIZE - made) >> 1, made];",
        "PLACED_KT": "val made = max(1, round(length.toDouble() * SIZE / max(length, other)).toInt())\n"
        "return Span(0.0, length.toDouble(), (SIZE - made) / 2, made)",
        "PLACED_SWIFT": "let exact = Double(length * size) / Double(max(length, other))\n"
        "let made = max(1, Int(exact.rounded(.toNearestOrEven)))\n"
        "return (0, Double(length), (size - made) / 2, made)",
        "PLACED_C": "int made = std::max(1, int(std::nearbyint(double(length) * SIZE / std::max(length, other))));\n"
        "return {0.0, double(length), (SIZE - made) / 2, made};",
    },
}
BARS: dict[bool, Phrase] = {
    False: {
        "GREY_JS": "",
        "GREY_KT": "0.0",
        "GREY_SWIFT": "0.0",
        "GREY_C": "0",
        "BARS_JS": "",
        "BARS_KT": "",
        "BARS_SWIFT": "",
    },
    True: {
        "GREY_JS": "parts.length === 0 ? 114 : ",
        "GREY_KT": "if (down.isEmpty() || across.isEmpty()) 114.0 else 0.0",
        "GREY_SWIFT": "down.isEmpty || across.isEmpty ? 114.0 : 0.0",
        "GREY_C": "rows[y].parts.empty() || columns[x].parts.empty() ? 114 : 0",
        "BARS_JS": "if (i < bar || i >= bar + made) return [0, []];",
        "BARS_KT": "if (i < at.bar || i >= at.bar + at.made) return@List 0 to emptyList<Double>()",
        "BARS_SWIFT": "if i < at.bar || i >= at.bar + at.made { return (0, []) }",
    },
}
# Which boxes a box may be suppressed by, where those of other classes do not count.
OF_ITS_CLASS: Phrase = {
    "PY": " if found == index",
    "JS": ".filter((other) => other.index === one.index)",
    "KT": ".filter { it.index == one.index }",
    "SWIFT": ".filter { $0.index == one.index }",
    "C": "one.index == other.index && ",
}
# The anchors of a feature map, and the size of one.
MAPS: dict[str, tuple[str, str]] = {
    "PY": ("({rows}, {columns}, [{sizes}])", "({width}, {height})"),
    "JS": ("[{rows}, {columns}, [{sizes}]]", "[{width}, {height}]"),
    "KT": ("Triple({rows}, {columns}, listOf({sizes}))", "{width} to {height}"),
    "SWIFT": ("({rows}, {columns}, [{sizes}])", "({width}, {height})"),
    "C": ("{{{rows}, {columns}, {{{sizes}}}}}", "{{{width}, {height}}}"),
}

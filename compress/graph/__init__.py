"""Any ONNX file read once: one canonical graph, its interface, the facts of its operators, and where it comes from.

Light modules (no backend): `operators`, `targets`, `interface`. The others need onnx; `from_torch` needs torch too.
"""

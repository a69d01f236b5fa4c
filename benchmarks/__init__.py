"""The speed of differentiable JPEG, compared with the alternatives of a user: ``python -m benchmarks``."""

"""A generation as one file that all workers map.

codec       the model as JSON and back
layout      header, checksums, sections
lists       sorted keyed hashes
replica     lists whose entries come and go without a new generation
databases   patterns that are asked together
traits      what is computed from all rules once
build       from what was loaded to the image
earlier     what an image lends to the next one
face        what of a policy can change a verdict, as digests
generation  the image in use: model.PolicySet

Promises: an image is accepted only if no byte of it was changed, is cheap to open and to share, and holds no code.
Refuses: knowing YAML, marks and problems (the loader's report has them).
"""

from __future__ import annotations

from tidegate.image.build import build
from tidegate.image.codec import MalformedError
from tidegate.image.earlier import Earlier, earlier
from tidegate.image.face import Faces, faces
from tidegate.image.generation import Generation
from tidegate.image.layout import BadImage, Buffer, Summary, digest_of, numbered, summary

__all__ = [
    "BadImage",
    "Buffer",
    "Earlier",
    "Faces",
    "Generation",
    "MalformedError",
    "Summary",
    "build",
    "digest_of",
    "earlier",
    "numbered",
    "faces",
    "summary",
]

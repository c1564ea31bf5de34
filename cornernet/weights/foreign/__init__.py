"""Weights of other CornerNets: from their files to our network, and back to MMDetection's."""

from cornernet.weights.foreign.classes import COCO_CLASSES
from cornernet.weights.foreign.mmdetection import to_mmdet
from cornernet.weights.foreign.read import External, from_foreign, is_foreign

__all__ = ["COCO_CLASSES", "External", "from_foreign", "is_foreign", "to_mmdet"]

"""What people call scores, and which of them are shares."""

from __future__ import annotations

METRICS = {
    "top1": "top-1 accuracy",
    "top3": "top-3 accuracy",
    "top5": "top-5 accuracy",
    "balanced_accuracy": "balanced accuracy",
    "iou": "IoU",
    "iou_class": "mean IoU",
    "iou_category": "category IoU",
    "iiou_class": "mean iIoU",
    "iiou_category": "category iIoU",
    "boundary_iou": "boundary IoU",
    "pixel_accuracy": "pixel accuracy",
    "mAP": "mean average precision (mAP)",
    "AP": "average precision (AP)",
    "rank1": "rank 1",
    "rank5": "rank 5",
    "rank10": "rank 10",
    "spl": "success weighted by path length (SPL)",
    "first_step": "first step of a shortest way",
    "next_node": "right next nodes",
    "closeness": "closeness by features",
    "kfd": "kernel distance of features",
    "kfd_self_supervised": "the same by self-supervised features",
    "kfd_random": "the same by random features",
    "ffd": "Fréchet distance of features",
    "n": "objects",
    "n_results": "found",
}

AMOUNTS = {"kfd", "kfd_self_supervised", "kfd_random", "ffd", "novelty", "feature_error", "pixel_error"}
"""Scores that are no shares of anything."""


def metric_name(key: str) -> str:
    """What a score is called."""
    return METRICS.get(key, key.replace("_", " "))

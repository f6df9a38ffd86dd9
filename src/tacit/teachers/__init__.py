"""Image-text teachers: how well each class's name fits each image, computed once and stored.

A teacher is nothing but a table of scores, (N, C). It comes from stored embeddings, from a pair of
towers, or from any program that writes one; training never runs the teacher itself.
"""

from tacit.teachers.scoring import Images, Teacher, measure_agreement, score
from tacit.teachers.shares import compute_class_shares, compute_patch_shares
from tacit.teachers.stored import check_scores, read_scores, save_scores
from tacit.teachers.towers import (
    TowerTeacher,
    cut_into_crops,
    embed,
    fill_template,
    open_clip_towers,
)

__all__ = [
    "Images",
    "Teacher",
    "TowerTeacher",
    "measure_agreement",
    "check_scores",
    "compute_class_shares",
    "embed",
    "fill_template",
    "cut_into_crops",
    "open_clip_towers",
    "compute_patch_shares",
    "read_scores",
    "save_scores",
    "score",
]

"""What training loops need beside models."""

from plait.utils import data

"""Fixtures of all tests of benchmarks."""

from benchmark_copies import coco2014 as coco2014
from benchmark_copies import cub as cub
from benchmark_copies import nuswide as nuswide
from benchmark_copies import openimages_v3 as openimages_v3
from benchmark_copies import voc2012 as voc2012

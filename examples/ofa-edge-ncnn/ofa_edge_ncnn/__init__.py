"""ncnn (https://github.com/Tencent/ncnn) as a runtime of ofa-edge: `ofa-edge build --runtime ncnn`."""

from ofa_edge_ncnn.runtime import Ncnn

__all__ = ["Ncnn"]

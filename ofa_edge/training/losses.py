"""What subnets learn from: labels, soft targets, and the adaptive alpha-divergence."""

import torch
from torch import Tensor
from torch.nn import functional as F

CLIP = 5.0


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of logits [N, C] against probabilities [N, C]: KL divergence up to a constant."""
    return F.cross_entropy(logits, targets)


def taught_loss(logits: Tensor, answers: Tensor, temperature: float) -> Tensor:
    """Cross entropy with a teacher's answers, both softened: the mean over samples, a scalar.

    The square of the temperature keeps its gradients of one size (Hinton, Vinyals and Dean, arXiv 1503.02531).

    Args:
        logits: the student's [N, C].
        answers: the teacher's logits [N, C].
        temperature: that both are divided by.
    """
    return temperature**2 * soft_cross_entropy(logits / temperature, (answers / temperature).softmax(1))


def alpha_divergence(logits: Tensor, targets: Tensor) -> Tensor:
    """The adaptive alpha-divergence of a student from its teacher's probabilities (AlphaNet, ICML 2021, section 3).

    KL (alpha = 1) punishes a student that misses what the teacher believes, alpha = -1 one that believes what the
    teacher does not. For each sample the larger of the two acts. With p the teacher's and q the student's probability,
    the gradient of D_alpha(p || q) is -1/alpha * sum_k q_k (p_k / q_k)^alpha grad log q_k. At alpha = 1 that is
    bounded; at -1 it is not, and the power of the ratio is clipped at 5.

    Args:
        logits: the student's [N, C].
        targets: the teacher's probabilities [N, C].

    Returns:
        The mean over samples. Its value is the clipped divergence; its gradient is the one above.
    """
    log_q = F.log_softmax(logits, dim=1)
    with torch.no_grad():
        q = log_q.exp()
        ratio = targets.clamp_min(1e-12) / q.clamp_min(1e-12)
        up = q * (1 / ratio).clamp_max(CLIP)
        reverse = (up.sum(1) - 1) / 2  # D_-1
        forward = (targets * ratio.log()).sum(1)  # D_1, the limit of the formula: KL
        weight = torch.where((reverse > forward)[:, None], up, -targets)
        value = torch.maximum(reverse, forward).mean()
    surrogate = (weight * log_q).sum(1).mean()
    return surrogate + (value - surrogate.detach())

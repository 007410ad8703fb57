"""The line for torch tensors in the page on losses."""

import jax
import numpy as np
import pytest

from gr2_jax.losses import mgcc_loss

pytestmark = pytest.mark.peers


def test_value_and_gradients_for_torch_tensors():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    q, d = (torch.randn(rows, 8, requires_grad=True) for rows in (4, 6))
    grades = torch.randint(0, 4, (4, 6), dtype=torch.int32)
    value, gradients = jax.value_and_grad(mgcc_loss, (0, 1))(
        *(jax.dlpack.from_dlpack(x.detach()) for x in (q, d, grades)), num_grades=3
    )
    assert float(value) > 0
    assert [torch.from_dlpack(g).shape for g in gradients] == [q.shape, d.shape]
    again = mgcc_loss(q.detach().numpy(), d.detach().numpy(), grades.numpy(), num_grades=3)
    np.testing.assert_allclose(value, again, rtol=1e-6)

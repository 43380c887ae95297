"""The adversary learns to tell, and each side's loss moves that side alone."""

import torch

from vidsr.train.adversary import Adversary, fooling_loss, telling_loss


def _adversary() -> Adversary:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return Adversary()


def _pictures(seed: int) -> torch.Tensor:
    return torch.rand(4, 3, 32, 40, generator=torch.Generator().manual_seed(seed))


def test_fooling_moves_the_picture_and_telling_the_adversary() -> None:
    adversary, estimate = _adversary(), _pictures(1)
    image = _pictures(2).requires_grad_()
    fooling_loss(adversary, image, estimate).backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert float(image.grad.abs().max()) > 0
    assert all(parameter.grad is None for parameter in adversary.parameters())
    image.grad = None
    telling_loss(adversary, image, _pictures(3), estimate).backward()  # type: ignore[no-untyped-call]
    assert image.grad is None
    for name, parameter in adversary.named_parameters():
        # The last bias moves both verdicts alike: what one side gains by it the other loses.
        assert parameter.grad is not None
        assert float(parameter.grad.abs().max()) > 0 or name == "layers.8.bias"


def test_it_learns_to_tell_smooth_pictures_from_textured_ones() -> None:
    adversary = _adversary().train()
    optimizer = torch.optim.Adam(adversary.parameters(), lr=1e-3)
    estimate = torch.full((4, 3, 32, 40), 0.5)
    for step in range(40):
        grain = 0.2 * (_pictures(10 + step) - 0.5)
        optimizer.zero_grad()
        telling_loss(adversary, estimate, estimate + grain, estimate).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    adversary.eval()
    with torch.no_grad():
        smooth = fooling_loss(adversary, estimate, estimate)
        textured = fooling_loss(adversary, estimate + 0.2 * (_pictures(99) - 0.5), estimate)
    # Fooling is easier with what clean pictures have.
    assert float(textured) < float(smooth) - 0.5


def test_fooling_leads_towards_what_clean_pictures_have() -> None:
    adversary = _adversary().train()
    optimizer = torch.optim.Adam(adversary.parameters(), lr=1e-3)
    estimate = torch.full((4, 3, 32, 40), 0.5)
    stripes = torch.zeros_like(estimate)
    stripes[..., ::4], stripes[..., 2::4] = 0.1, -0.1
    for _ in range(40):
        optimizer.zero_grad()
        telling_loss(adversary, estimate, estimate + stripes, estimate).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    image = (estimate + 0.3 * stripes).requires_grad_()
    fooling_loss(adversary, image, estimate).backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert float((image.grad * stripes).sum()) < 0  # descending makes the stripes stronger


def test_it_is_blind_to_brightness() -> None:
    adversary, image, estimate = _adversary().eval(), _pictures(1), _pictures(2)
    with torch.no_grad():
        verdict = adversary(image, estimate)
        torch.testing.assert_close(adversary(image + 0.2, estimate), verdict, atol=1e-4, rtol=0)
        assert not torch.allclose(adversary(0.8 * image, estimate), verdict, atol=1e-3)

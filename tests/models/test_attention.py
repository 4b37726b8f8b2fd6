import pytest
import torch
from torch.testing import assert_close

from interp.models.attention import Attention
from interp.models.hooks import is_hooked
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

KINDS = ("linear", "relu", "softmax")
every_kind = pytest.mark.parametrize("kind", KINDS)
masked_or_not = pytest.mark.parametrize("causal", [False, True], ids=["everywhere", "causal"])
query_in_or_out = pytest.mark.parametrize("query_in_context", [False, True], ids=["query-out", "query-in"])


def attention_by_hand(attn: Attention, resid, n_queries):
    """One position and one head at a time."""
    out = torch.zeros_like(resid)
    n_pos = resid.shape[1]
    n_keys = n_pos if attn.query_in_context else n_pos - n_queries
    for p, x in enumerate(resid):
        for head in range(attn.n_heads):
            q, k, v = (x @ getattr(attn, f"W_{name}")[head] + getattr(attn, f"b_{name}")[head] for name in "QKV")
            for i in range(n_pos):
                seen = [j for j in range(n_keys) if j <= i or not attn.causal]
                scores = attn.scale * torch.stack([q[i] @ k[j] for j in seen])
                match attn.kind:
                    case "softmax":
                        pattern = scores.exp() / scores.exp().sum()
                    case "relu":
                        pattern = scores.clamp(min=0)
                    case _:
                        pattern = scores
                z = sum(a * v[j] for a, j in zip(pattern, seen, strict=True))
                out[p, i] += z @ attn.W_O[head]
    return out + attn.b_O


@every_kind
@masked_or_not
@query_in_or_out
def test_it_is_attention_as_on_paper(kind, causal, query_in_context):
    model = tiny_model(attention=kind, causal=causal, query_in_context=query_in_context, bias=True)
    resid = torch.randn(2, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        for n_queries in (1, 2):
            out = model.blocks[0].attn(resid, n_queries)
            assert_close(out, attention_by_hand(model.blocks[0].attn, resid, n_queries))


def test_softmax_scores_are_scaled_by_the_root_of_the_head_width_and_the_others_not_at_all():
    assert [tiny_model(attention=kind, head_width=9).blocks[0].attn.scale for kind in KINDS] == [
        1.0,
        1.0,
        1 / 3,
    ]


@every_kind
@masked_or_not
@query_in_or_out
@pytest.mark.parametrize("hooked", [("pattern",), ("attn_scores",), ("attn_scores", "pattern")], ids="+".join)
def test_looking_at_scores_or_pattern_changes_no_prediction(kind, causal, query_in_context, hooked):
    model = tiny_model(attention=kind, causal=causal, query_in_context=query_in_context, bias=True)
    tokens = model.tokens(model.task.sample(3))
    hooks = [(f"blocks.{layer}.attn.hook_{name}", lambda x, hook: None) for layer in (0, 1) for name in hooked]
    assert_close(model.run_with_hooks(tokens, fwd_hooks=hooks), model(tokens))


@every_kind
@masked_or_not
def test_changing_the_pattern_changes_the_prediction(kind, causal):
    """The hooks are on the road, not beside it: what they return is what the layer uses."""
    model = tiny_model(attention=kind, causal=causal)
    tokens = model.tokens(model.task.sample(3))
    with model.hooks(fwd_hooks=[("blocks.1.attn.hook_pattern", lambda x, hook: torch.zeros_like(x))]):
        silent, cache = model.run_with_cache(tokens)
    assert not cache["attn_out", 1].any()
    assert (silent - model(tokens)).abs().max() > 1e-6


@every_kind
@masked_or_not
@query_in_or_out
def test_pattern_times_values_gives_z(kind, causal, query_in_context):
    model = tiny_model(attention=kind, causal=causal, query_in_context=query_in_context)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(3)))
    for layer in (0, 1):
        z = torch.einsum("phqk,pkhd->pqhd", cache["pattern", layer], cache["v", layer])
        assert_close(z, cache["z", layer])


@masked_or_not
@query_in_or_out
def test_a_softmax_pattern_sums_to_1_over_what_is_visible(causal, query_in_context):
    model = tiny_model(attention="softmax", causal=causal, query_in_context=query_in_context)
    _, cache = model.run_with_cache(model.tokens(model.task.sample(3)))
    pattern = cache["pattern", 0]
    assert_close(pattern.sum(-1), torch.ones_like(pattern[..., 0]))
    hidden = torch.zeros(6, 6, dtype=torch.bool)
    if causal:
        hidden |= torch.ones(6, 6, dtype=torch.bool).triu(1)
    if not query_in_context:
        hidden[:, -1] = True
    assert not pattern[..., hidden].any()
    assert (pattern[..., ~hidden] > 0).all()


@every_kind
def test_the_last_layers_shortcut_predicts_what_the_full_layer_does(kind):
    model = tiny_model(attention=kind, mlp="relu", bias=True)
    prompts = model.task.sample(4, n_queries=3)
    tokens = model.tokens(prompts)
    states = []
    full = model.run_with_hooks(
        tokens, n_queries=3, fwd_hooks=[("blocks.1.hook_resid_post", lambda x, hook: states.append(x))]
    )
    assert states[0].shape[1] == tokens.shape[1]  # with a hook the layer covers every position
    assert_close(model(tokens, n_queries=3), full)


@pytest.mark.parametrize(
    "register",
    [
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
    ],
)
def test_every_kind_of_hook_anywhere_inside_is_noticed(register):
    block = tiny_model().blocks[-1]
    assert not is_hooked(block)
    handle = getattr(block.attn.hook_z, register)(lambda module, *values: None)
    assert is_hooked(block)
    handle.remove()
    assert not is_hooked(block)


@every_kind
@masked_or_not
def test_queries_asked_together_are_answered_as_each_would_be_alone(kind, causal):
    model = tiny_model(attention=kind, causal=causal, mlp="gelu")
    assert model.asks_in_parallel
    prompts = model.task.sample(3, n_queries=4)
    together = model(model.tokens(prompts), n_queries=4)
    alone = model(model.tokens(prompts.one_query_each()))
    assert_close(together.flatten(), alone.flatten())


@every_kind
@query_in_or_out
def test_the_context_sees_the_query_exactly_when_the_query_is_in_the_context(kind, query_in_context):
    model = tiny_model(attention=kind, query_in_context=query_in_context)
    tokens = model.tokens(model.task.sample(3))
    other = tokens.clone()
    other[:, -1] += 0.5
    states = [model.run_with_cache(t)[1]["resid_post", 1][:, :-1] for t in (tokens, other)]
    assert torch.equal(*states) is not query_in_context


@every_kind
@query_in_or_out
def test_a_later_point_never_changes_an_earlier_prediction_of_a_causal_model(kind, query_in_context):
    options = {**FULL, "attention": kind, "layout": INTERLEAVED, "causal": True}
    model = tiny_model(**options, query_in_context=query_in_context)
    tokens = model.tokens(model.task.sample(3))
    predictions = model(tokens)
    assert predictions.shape[1] == len(model.predicted_points) == 6
    for position in range(1, tokens.shape[1]):
        other = tokens.clone()
        other[:, position:] += 1
        earlier = (position + 1) // 2  # points whose x stands before the position
        assert_close(model(other)[:, :earlier], predictions[:, :earlier], rtol=1e-12, atol=1e-12)
        assert (model(other) - predictions).abs()[:, -1].min() > 1e-9


def test_without_causal_mask_every_example_matters_to_the_query():
    model = tiny_model(attention="softmax")
    tokens = model.tokens(model.task.sample(3)).requires_grad_()
    (gradient,) = torch.autograd.grad(model(tokens).sum(), tokens)
    assert (gradient.norm(dim=-1) > 0).all()


def test_qk_and_ov_circuits_are_the_explicit_products():
    model = tiny_model(n_layers=3)
    assert model.QK.AB.shape == (3, 2, 5, 5)
    for layer, block in enumerate(model.blocks):
        for head in range(2):
            attn = block.attn
            assert_close(model.QK.AB[layer, head], attn.W_Q[head] @ attn.W_K[head].T)
            assert_close(model.OV.AB[layer, head], attn.W_V[head] @ attn.W_O[head])


def test_the_circuits_say_what_a_linear_layer_does():
    """Attention without biases is sum_j (x_i QK x_j) x_j OV, summed over heads."""
    model = tiny_model(n_layers=1)
    tokens = model.tokens(model.task.sample(3))
    _, cache = model.run_with_cache(tokens)
    scores = torch.einsum("pid,hde,pje->phij", tokens, model.QK.AB[0], tokens[:, :-1])
    expected = torch.einsum("phij,pjd,hde->pie", scores, tokens[:, :-1], model.OV.AB[0])
    assert_close(cache["attn_out", 0], expected)


@every_kind
@masked_or_not
@pytest.mark.parametrize("name", ["q", "k", "v"])
def test_a_hook_may_change_a_part_of_the_projections_in_place_while_gradients_are_kept(kind, causal, name):
    """As TransformerLens's own examples silence a head."""
    model = tiny_model(attention=kind, causal=causal, head_width=20)  # wide enough for one product of all three
    tokens = model.tokens(model.task.sample(3))

    def in_place(activation, hook):
        activation[:, :, 0] = 0

    def anew(activation, hook):
        return activation * torch.tensor([0.0, 1.0], dtype=activation.dtype)[:, None]

    changed, expected = (
        model.run_with_hooks(tokens, fwd_hooks=[(f"blocks.0.attn.hook_{name}", hook)]) for hook in (in_place, anew)
    )
    assert_close(changed, expected)
    changed.sum().backward()
    assert model.blocks[0].attn.W_O.grad is not None


@masked_or_not
@query_in_or_out
@pytest.mark.parametrize("n_queries", [1, 4])
def test_few_queries_that_go_to_the_context_are_answered_as_in_the_full_layer(causal, query_in_context, n_queries):
    model = tiny_model(attention="linear", causal=causal, query_in_context=query_in_context, n_points=12)
    attn = model.blocks[0].attn
    resid = torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        full = attn(resid, n_queries)
        assert_close(attn(resid, n_queries, kept=slice(-n_queries, None)), full[:, -n_queries:])

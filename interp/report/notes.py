"""What the tables mean that stand in a report without a figure."""

NOTES = {
    "effective_steps": "Read off the weights, layer by layer. eta_over_n: the step size on the sum of squares; gamma: "
    "x becomes (I - gamma X^T X) x; off_structure: the share (in Frobenius norm) of the layer's update of y that is no "
    "multiple of the identity, 0 in the construction. What a last layer writes into x is read by nothing, so that its "
    "gamma means nothing.",
    "growth": "How the best step of a solver (for error level: the step that errs as much as the layer) grows with the "
    "layer. law: linear, k = a + b l, with per_layer steps for each layer more, or exponential, k = a exp(b l), with "
    "factor times the steps for each; undecided where neither is clearly better. aic_difference: Akaike's criterion of "
    "the linear law minus that of the exponential one, below 0 where linear fits better. Controls: in what share of "
    "their runs a law is decided too.",
    "convergence": "At how many steps, interpolated, the solver's mean squared error is the layer's. A layer that errs "
    "more than the first step that was tried has that step, one that errs less than the solver ever does has none. "
    "order: of convergence from layer to layer, 1 is linear, as of "
    "gradient descent, 2 quadratic, as of Newton; a dash where a neighbouring layer is missing.",
    "head_scores": "The share of each head's attention that goes to the previous, the current, the next and the first "
    "token, averaged over the positions that have one. chance: uniform attention to all tokens in sight.",
    "dependency_by_offset": "The map above averaged along its diagonals: offset is the position of the state minus "
    "that of the token, 0 the token itself, 1 the one before it. layer 0 is the embedding.",
    "copying": "The label of every head. attention, carried and restored are those of the way that the label rests on "
    "(of the one with most attention where there is none); needed is the rise of the loss when the head is silenced. "
    "confirmed: silencing it, and swapping its output for that of other contents, both cost something.",
    "written": "What W_V W_O of each head makes of a unit of y, or of x, as the embedding holds it. size: the length "
    "of what is written; gain: its part along where it was read, 1 for a copy into the same place; cosine: gain over "
    "size; then: the same after passing through that later head too.",
    "repeats": "Next-token loss in nats on the first pass and on the repeats, and what is gained from one to the "
    "other. chance: guessing among all tokens.",
    "head_labels": "score: the one that decides the label, or that comes nearest; bar: what its interval has to "
    "exceed. copying: eigenvalue score of the head's OV circuit, with the share copying_p of mismatched circuits that "
    "score as high. confirmed: ablating the head alone, or the heads of its label together, costs more on repeats than "
    "ablating other heads of the layer, or than random directions where it has too few others.",
    "composition": "How much of what one head writes the next one reads: |A B| / (|A| |B|) of the OV circuit A of the "
    "first and, for K, the QK circuit B of the second from its keys. low and high: the middle 95 % of all pairs of "
    "heads of these two layers; chance: circuits turned at random against each other.",
    "edges": "What changes when an edge is cut: the induction score of the head named in of, or the loss. random: the "
    "same cut at as many other heads, mean and middle 95 %. verdict: clear where the change goes beyond all of those.",
}
"""By the name of the table in `Section.tables`."""

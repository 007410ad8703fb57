"""Ablations, after the paper's Figure 2: what each part of the objective is worth, and what the joint ranking is.

gr2 study configs/studies/ablation.py
gr2 study configs/studies/ablation.py --base configs/robust04.py
The rows are the method itself (GR2S), with the paper's penalty also where the base has another, and, each a row of the
same run: without the grade penalty (no-lambda), without the grade constraint (no-max), likelihoods alone (MLE),
supervised contrastive learning (SupCon), cross-entropy (CE), LambdaRank (LR) and, where the method's docids are written
by fusion, plain query generation (no-fusion). The point ranking=likelihood searches the method's own model and ranks by
likelihood, as the paper does: it trains nothing. Over the paper's configs every row is fine-tuned against
self-negatives, and the rows before that are there, too. Tests are against GR2S.
Hardware and time: those of the base, for 7 trainings and seed. Not run here at the paper's size.
"""

from gr2_jax.experiment.study import Changes, Rows, Study
from gr2_jax.recipes.quickstart import DEFAULT
from gr2_jax.recipes.studies import by_likelihood, method_of, method_with_papers_loss, objective, without_fusion

study = Study(
    name="ablation",
    base=DEFAULT,
    overlay=method_with_papers_loss,
    axes=(
        Rows(
            "objective",
            (
                objective("no-lambda", penalty="equal"),
                objective("no-max", constraint="off"),
                objective("MLE", gamma=0.0),
                objective("SupCon", graded="contrastive"),
                objective("CE", graded="cross_entropy"),
                objective("LR", graded="lambdarank"),
                without_fusion,
            ),
        ),
        Changes("ranking", {"likelihood": by_likelihood}),
    ),
    reference_row=method_of,
)

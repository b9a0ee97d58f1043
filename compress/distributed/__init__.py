"""Several processes that train one model, as torchrun starts them. Alone, everything here does nothing.

Process 0 carries out the command and writes the run; the others help in each fit, and only there. From the outside in:

    process_rank      where this process stands among the others, as torchrun says; light
    distributed_run   the whole run: process 0 leads, and describes each stage to the others, which follow to the end
    fit_orders        what process 0 says: a stage begins, a fit begins, the stage is over, the run ends
    collectives       torch.distributed in as few calls as a fit needs: shares of a batch, sums of gradients, agreement
    sync_batch_norm   what of a forward pass depends on the whole batch: BatchNorm and dropout

`cli/follow` turns the other processes from the command to `distributed_run.follow`, `pipeline/runner` leads and
describes, and `engine/fit` brings all processes into a fit.
"""

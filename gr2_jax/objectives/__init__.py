"""What is minimised, as functions of parameters and a batch: Eq. 10, Eq. 3 and the dense row's loss."""

from gr2_jax.cli import main

main()

"""How fast the product is, each figure beside the limit of the same work on the same machine in the same run."""

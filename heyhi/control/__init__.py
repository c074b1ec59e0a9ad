"""Many experiments that live: how they are, and the controllers that start, watch and end them."""

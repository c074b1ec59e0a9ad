"""Many experiments that belong together: points, expansion, the manifest, and what Snakemake asks of it."""

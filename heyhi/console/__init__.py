"""What a run of Snakemake prints while it goes on: HeyHi's logger plugin."""

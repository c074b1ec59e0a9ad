"""Fits a line to points by gradient descent."""

import argparse
import os
import random

RATE = 0.1


def parse_args():
    """Read the command line."""
    parser = argparse.ArgumentParser(description="Fit a line to noisy points.")
    parser.add_argument("--lr", type=float, default=RATE, help="learning rate")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the points")
    parser.add_argument("--loss", choices=["l1", "l2"], default="l2", help="what is made small")
    parser.add_argument("--noise", type=float, nargs=2, default=[0.1, 0.2], help="of the points' x and y")
    parser.add_argument("--no-offset", action="store_true", help="a line through the origin")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    return parser.parse_args()


def main():
    """Fit the line."""
    args = parse_args()
    draw = random.Random(args.seed)
    xs = [draw.uniform(-1, 1) for _ in range(100)]
    points = [(x + draw.gauss(0, args.noise[0]), 2 * x + 1 + draw.gauss(0, args.noise[1])) for x in xs]
    slope = offset = 0.0
    for _ in range(args.epochs):
        for x, y in points:
            error = slope * x + offset - y
            step = args.lr * (error if args.loss == "l2" else (error > 0) - (error < 0))
            slope -= step * x
            offset -= 0 if args.no_offset else step
    print(f"slope {slope:.2f}, offset {offset:.2f}")
    return {"slope": slope, "offset": offset}


if __name__ == "__main__":
    main()

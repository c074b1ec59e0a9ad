"""Metrics for trackers: event files of TensorBoard, runs of Weights & Biases and of MLflow."""

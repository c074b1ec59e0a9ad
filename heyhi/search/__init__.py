"""What a search asks for next: its trials as their files tell them, Optuna's study of these, and the choice of a slot.

Results are the only store: a study is made anew in memory each time. Optuna is imported where it is asked.
"""

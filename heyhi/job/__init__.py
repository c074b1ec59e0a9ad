"""One job, from its submission through its run to its end."""

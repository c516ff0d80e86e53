"""What runs in a worker: everything that imports torch, and the supervisors of processes."""

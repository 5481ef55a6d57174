"""Training of supernets: recipes, the trainer, evaluation."""

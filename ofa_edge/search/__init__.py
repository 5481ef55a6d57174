"""Search over subnets: the accuracy predictor, evolution under a latency budget, Pareto fronts."""

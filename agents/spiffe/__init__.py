"""SPIFFE: names of workloads, the trust domains they belong to, and the documents that prove a name."""

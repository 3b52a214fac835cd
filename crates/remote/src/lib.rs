//! Tiers and clients over the network.

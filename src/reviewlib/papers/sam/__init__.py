"""Sharpness-aware minimization (Foret et al., 2021) on trial."""

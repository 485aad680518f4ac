"""Autoencoders (E_m, D_m): each modality's latent space."""

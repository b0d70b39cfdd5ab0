//! The wire, as generic clients see it: health, reflection, codes and reasons.

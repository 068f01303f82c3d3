"""The model classes of the profiles, for SGLang's `SGLANG_EXTERNAL_MODEL_PACKAGE`: a start that finds its own here
imports none of the two hundred others. Whatever is not here it finds among all of its own, as ever."""

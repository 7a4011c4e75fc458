//! The real model. Its folder is named by `LORICA_MINILM`.

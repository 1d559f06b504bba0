/// Makes a `cdylib` a plugin: exports the one function that the server's engine host calls, and the version of its
/// signature. Write it once, at the top level of the crate, with the type that implements [`Engine`](crate::Engine).
#[macro_export]
macro_rules! export_engine {
    ($engine:ty) => {
        /// The version of `secrethub_engine_serve`.
        // SAFETY: a name of this crate's own; nothing else in a plugin defines it
        #[allow(unsafe_code, reason = "the loader finds plugins by this name")]
        #[unsafe(no_mangle)]
        pub static SECRETHUB_ENGINE_ABI: u32 = $crate::ABI;

        /// Serves the engine on a connected socket until that closes. Takes the descriptor over.
        // SAFETY: a name of this crate's own; nothing else in a plugin defines it
        #[allow(unsafe_code, reason = "the loader finds plugins by this name")]
        #[unsafe(no_mangle)]
        pub extern "C" fn secrethub_engine_serve(fd: std::os::raw::c_int) -> std::os::raw::c_int {
            $crate::serve::run::<$engine>(fd, env!("CARGO_PKG_VERSION"))
        }
    };
}

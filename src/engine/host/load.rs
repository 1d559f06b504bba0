//! Loading the plugin: the library, its version, its one function.

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW, Symbol};
use secrethub_engine::ABI;
use std::ffi::c_int;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const VERSION: &[u8] = b"SECRETHUB_ENGINE_ABI\0";
const SERVE: &[u8] = b"secrethub_engine_serve\0";

/// The longest text of the loader that is passed on.
const MAX_TEXT: usize = 200;

type Serve = extern "C" fn(c_int) -> c_int;

pub(super) struct Plugin {
    serve: Symbol<Serve>,
    /// Never unloaded: its threads may run to the end of the process.
    _library: std::mem::ManuallyDrop<Library>,
}

/// Loads the library in the sealed file, which is closed afterwards.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn load(file: OwnedFd) -> Result<Plugin, String> {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    // SAFETY: its constructors run here, in a process that was confined for that and holds nothing of the server's; the bytes are
    // those that the server has checked and cannot change
    #[allow(unsafe_code, reason = "loading a library runs its code")]
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        let text: String = error.to_string().chars().filter(|c| !c.is_control()).take(MAX_TEXT).collect();
        format!("the file cannot be loaded as a library: build it for this system and architecture ({text})")
    })?;
    drop(file);
    let library = std::mem::ManuallyDrop::new(library);
    // SAFETY: a symbol of this name is a number of 32 bits that does not change: that is what the name promises, in every version
    #[allow(unsafe_code, reason = "the type of a symbol is a promise of the library")]
    let version = unsafe { library.get::<*const u32>(VERSION).map(|symbol| **symbol) }
        .map_err(|_| "the file is no engine plugin: it was not built with export_engine!".to_owned())?;
    if version != ABI {
        return Err(format!(
            "the plugin was built for version {version} of the engine interface and this server has {ABI}: build it anew"
        ));
    }
    // SAFETY: the function has this signature in the version that was just compared
    #[allow(unsafe_code, reason = "the type of a symbol is a promise of the library")]
    let serve = unsafe { library.get::<Serve>(SERVE) }
        .map_err(|_| "the file is no engine plugin: it was not built with export_engine!".to_owned())?;
    Ok(Plugin { serve, _library: library })
}

impl Plugin {
    /// Serves on the socket until it closes; the plugin owns it from here on.
    pub(super) fn serve(&self, socket: RawFd) -> c_int {
        (self.serve)(socket)
    }
}

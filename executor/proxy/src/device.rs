//! Which devices there are, and their names.

use crate::backend::Backend;
use crate::opencl::{Device, Runtime};
use wire::cl;

/// A device as people name it.
pub struct Listed {
    /// `opencl:PLATFORM.DEVICE`
    pub name: String,
    /// What its runtime calls it.
    pub model: String,
    /// What its platform is called.
    pub platform: String,
    /// `cpu`, `gpu`, `accelerator` or `custom`
    pub kind: &'static str,
    /// Bytes of memory.
    pub memory: u64,
    device: Device,
}

impl Listed {
    /// A worker's view of it.
    pub fn open(&self) -> Box<dyn Backend> {
        Box::new(self.device.open())
    }
}

/// All devices of this machine, and a sentence for each runtime that is missing.
pub fn list() -> (Vec<Listed>, Vec<String>) {
    let runtime = match Runtime::load() {
        Ok(runtime) => runtime,
        Err(missing) => return (Vec::new(), vec![missing]),
    };
    let devices: Vec<Listed> = runtime.devices().into_iter().map(listed).collect();
    let none = "OpenCL finds no device (install its runtime, such as pocl-opencl-icd for processors)";
    let missing = if devices.is_empty() { vec![none.to_owned()] } else { Vec::new() };
    (devices, missing)
}

fn listed(device: Device) -> Listed {
    let kinds = [(cl::DEVICE_TYPE_GPU, "gpu"), (cl::DEVICE_TYPE_ACCELERATOR, "accelerator"), (cl::DEVICE_TYPE_CPU, "cpu")];
    let kind = kinds.iter().find(|(bit, _)| device.kind & bit != 0).map_or("custom", |(_, name)| name);
    let name = format!("opencl:{}.{}", device.place.0, device.place.1);
    Listed { name, model: device.name.clone(), platform: device.platform_name.clone(), kind, memory: device.memory, device }
}

/// The device that a word means: its name, or a part of its model's or platform's that only it has.
///
/// # Errors
/// A sentence that lists what there is.
pub fn find(word: &str) -> Result<Listed, String> {
    let (devices, missing) = list();
    let lower = word.to_lowercase();
    let alike =
        |device: &Listed| device.model.to_lowercase().contains(&lower) || device.platform.to_lowercase().contains(&lower);
    let names: Vec<String> = devices.iter().map(|device| format!("{} ({})", device.name, device.model)).collect();
    let mut exact = Vec::new();
    let mut near = Vec::new();
    for device in devices {
        if device.name == word {
            exact.push(device);
        } else if alike(&device) {
            near.push(device);
        }
    }
    let mut found = if exact.is_empty() { near } else { exact };
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(format!("no device `{word}`; there are: {}", names.into_iter().chain(missing).collect::<Vec<_>>().join(", "))),
        _ => Err(format!("`{word}` is more than one device; name one of: {}", names.join(", "))),
    }
}

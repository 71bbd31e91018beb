//! Which devices there are, and their names.

use crate::backend::Backend;
use crate::cuda;
use crate::opencl::{Device, Runtime};
use wire::cl;

/// A device as people name it.
pub struct Listed {
    /// `opencl:PLATFORM.DEVICE`, `cuda:NUMBER` or `cuda:simulated`
    pub name: String,
    /// What its runtime calls it.
    pub model: String,
    /// What its platform is called.
    pub platform: String,
    /// `cpu`, `gpu`, `accelerator`, `custom` or `simulated`
    pub kind: &'static str,
    /// Bytes of memory.
    pub memory: u64,
    device: Opened,
}

/// How a device is made use of.
enum Opened {
    OpenCl(Device),
    Cuda(cuda::Device),
    SimulatedCuda,
}

/// Which drivers a job's programs need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// OpenCL's.
    OpenCl,
    /// CUDA's.
    Cuda,
}

/// The API of a device, by its name as [`list`] gives it.
pub fn api(name: &str) -> Api {
    if name.starts_with("cuda:") { Api::Cuda } else { Api::OpenCl }
}

impl Listed {
    /// A worker's view of it.
    pub fn open(&self) -> Box<dyn Backend> {
        match &self.device {
            Opened::OpenCl(device) => Box::new(device.open()),
            Opened::Cuda(device) => Box::new(device.open()),
            Opened::SimulatedCuda => Box::new(cuda::Simulated::default()),
        }
    }
}

/// All devices of this machine, and a sentence for each runtime that is missing.
pub fn list() -> (Vec<Listed>, Vec<String>) {
    let mut missing = Vec::new();
    let mut devices: Vec<Listed> = match Runtime::load() {
        Ok(runtime) => runtime.devices().into_iter().map(listed).collect(),
        Err(sentence) => {
            missing.push(sentence);
            Vec::new()
        }
    };
    if devices.is_empty() && missing.is_empty() {
        missing.push("OpenCL finds no device (install its runtime, such as pocl-opencl-icd for processors)".into());
    }
    match cuda::Device::all() {
        Ok(all) => devices.extend(all.into_iter().map(|device| Listed {
            name: format!("cuda:{}", device.number),
            model: device.name.clone(),
            platform: "CUDA".into(),
            kind: "gpu",
            memory: device.memory,
            device: Opened::Cuda(device),
        })),
        Err(sentence) => missing.push(sentence),
    }
    devices.push(Listed {
        name: "cuda:simulated".into(),
        model: "simulated CUDA device".into(),
        platform: "Orrery".into(),
        kind: "simulated",
        memory: cuda::MEMORY,
        device: Opened::SimulatedCuda,
    });
    (devices, missing)
}

fn listed(device: Device) -> Listed {
    let kinds = [(cl::DEVICE_TYPE_GPU, "gpu"), (cl::DEVICE_TYPE_ACCELERATOR, "accelerator"), (cl::DEVICE_TYPE_CPU, "cpu")];
    let kind = kinds.iter().find(|(bit, _)| device.kind & bit != 0).map_or("custom", |(_, name)| name);
    let name = format!("opencl:{}.{}", device.place.0, device.place.1);
    Listed {
        name,
        model: device.name.clone(),
        platform: device.platform_name.clone(),
        kind,
        memory: device.memory,
        device: Opened::OpenCl(device),
    }
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

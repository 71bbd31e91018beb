//! Programs: from all that they can be made of, compiled and linked.

use super::OpenCl;
use super::create::{c_string, pointer};
use super::raw::{Handle, Object, call, check};
use ring::Body;
use std::ffi::CString;
use std::ptr::{null, null_mut};
use wire::{Id, Request, cl};

type Result<T> = std::result::Result<T, i32>;

impl OpenCl {
    pub(super) fn program_request(&mut self, request: &Request, body: Body) -> Result<Vec<u8>> {
        let (api, mut code) = (self.api(), 0);
        let (id, handle, devices, data) = match request {
            Request::ProgramSource { id, context } => {
                let (context, text) = (self.context(*context)?, body.into_vec());
                let (start, len) = (text.as_ptr().cast(), text.len());
                (id, call!(api, clCreateProgramWithSource(context, 1, &start, &len, &mut code))?, 1, Vec::new())
            }
            Request::ProgramIl { id, context } => {
                let (context, il) = (self.context(*context)?, body.into_vec());
                (id, call!(api, clCreateProgramWithIL(context, il.as_ptr().cast(), il.len(), &mut code))?, 1, Vec::new())
            }
            Request::ProgramBinary { id, context, devices, lengths } => {
                let (handle, statuses) = self.program_binary(*context, devices, lengths, &body.into_vec(), &mut code)?;
                if code != 0 {
                    // The status of each binary is told even when the program is not made; the client reads it from the data.
                    return Err(code);
                }
                (id, handle, devices.len(), statuses)
            }
            Request::ProgramBuiltIn { id, context, devices, names } => {
                let (context, handles, names) = (self.context(*context)?, self.devices(devices)?, c_string(names)?);
                let (count, list) = (handles.len() as u32, handles.as_ptr());
                let program = call!(api, clCreateProgramWithBuiltInKernels(context, count, list, names.as_ptr(), &mut code))?;
                (id, program, devices.len(), Vec::new())
            }
            Request::Link { id, context, devices, options, programs } => {
                let (handle, linked) = self.link(*context, devices, options.as_deref(), programs)?;
                // A link that failed still makes a program, whose log says why.
                if handle.0 != 0 {
                    self.objects.insert(*id, Object::Program { handle, devices: devices.len().max(1) });
                }
                return Ok(linked.to_ne_bytes().into_iter().chain([u8::from(handle.0 != 0)]).collect());
            }
            Request::SpecConstant { program, index, value } => {
                let (program, _) = self.program(*program)?;
                let value = (value.len(), value.as_ptr().cast());
                return check(call!(api, clSetProgramSpecializationConstant(program, *index, value.0, value.1))?)
                    .map(|()| Vec::new());
            }
            _ => return self.build(request),
        };
        check(code)?;
        self.objects.insert(*id, Object::Program { handle, devices });
        Ok(data)
    }

    fn program_binary(
        &self,
        context: Id,
        ids: &[Id],
        lengths: &[u64],
        body: &[u8],
        code: &mut i32,
    ) -> Result<(Handle, Vec<u8>)> {
        let (context, devices) = (self.context(context)?, self.devices(ids)?);
        if lengths.len() != devices.len() || devices.is_empty() {
            return Err(cl::INVALID_VALUE);
        }
        let mut starts = Vec::new();
        let mut rest = body;
        for len in lengths {
            let (binary, after) = rest.split_at_checked(*len as usize).ok_or(cl::INVALID_VALUE)?;
            starts.push(binary.as_ptr());
            rest = after;
        }
        let lengths: Vec<usize> = lengths.iter().map(|len| *len as usize).collect();
        let mut statuses = vec![0i32; devices.len()];
        let (count, list) = (devices.len() as u32, devices.as_ptr());
        let (lengths, starts) = (lengths.as_ptr(), starts.as_ptr());
        let api = &self.device.api;
        let handle = call!(api, clCreateProgramWithBinary(context, count, list, lengths, starts, statuses.as_mut_ptr(), code))?;
        Ok((handle, statuses.iter().flat_map(|status| status.to_ne_bytes()).collect()))
    }

    fn link(&self, context: Id, devices: &[Id], options: Option<&str>, programs: &[Id]) -> Result<(Handle, i32)> {
        let (context, devices) = (self.context(context)?, self.devices(devices)?);
        let programs: Vec<Handle> = programs.iter().map(|id| Ok(self.program(*id)?.0)).collect::<Result<_>>()?;
        let options = options.map(c_string).transpose()?;
        let (text, list) = (options.as_ref().map_or(null(), |text| text.as_ptr()), pointer(&devices));
        let mut code = 0;
        let (n, inputs) = (programs.len() as u32, pointer(&programs));
        let api = &self.device.api;
        let count = devices.len() as u32;
        let handle = call!(api, clLinkProgram(context, count, list, text, n, inputs, None, null_mut(), &mut code))?;
        Ok((handle, code))
    }

    fn build(&self, request: &Request) -> Result<Vec<u8>> {
        let (program, ids, options) = match request {
            Request::Build { program, devices, options } | Request::Compile { program, devices, options, .. } => {
                (self.program(*program)?.0, devices, options)
            }
            _ => return Err(cl::INVALID_OPERATION),
        };
        let devices = self.devices(ids)?;
        let options = options.as_deref().map(c_string).transpose()?;
        let (text, list) = (options.as_ref().map_or(null(), |text| text.as_ptr()), pointer(&devices));
        let (api, count) = (&self.device.api, devices.len() as u32);
        let code = if let Request::Compile { headers, .. } = request {
            let handles: Vec<Handle> = headers.iter().map(|(id, _)| Ok(self.program(*id)?.0)).collect::<Result<_>>()?;
            let names: Vec<CString> = headers.iter().map(|(_, name)| c_string(name)).collect::<Result<_>>()?;
            let names: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
            let (n, handles, names) = (handles.len() as u32, pointer(&handles), pointer(&names));
            call!(api, clCompileProgram(program, count, list, text, n, handles, names, None, null_mut()))?
        } else {
            call!(api, clBuildProgram(program, count, list, text, None, null_mut()))?
        };
        check(code).map(|()| Vec::new())
    }
}

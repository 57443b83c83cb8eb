// Windows: the collector that run starts ends with it.
package main

import (
	"encoding/binary"
	"os"
	"syscall"
	"unsafe"
)

// ownJob puts this process, and so all that it starts, into a job object whose processes are ended when its last handle is
// closed (JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE): when this process has ended, however it did.
func (a *app) ownJob() (died <-chan os.Signal, strays func(keep, group int) []int) {
	limits := make([]byte, 80+8*unsafe.Sizeof(uintptr(0))) // JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	binary.LittleEndian.PutUint32(limits[16:], 0x2000)     // LimitFlags
	kernel, self := syscall.NewLazyDLL("kernel32.dll"), ^uintptr(0)
	job, _, _ := kernel.NewProc("CreateJobObjectW").Call(0, 0)
	const extendedLimits = 9
	kernel.NewProc("SetInformationJobObject").Call(job, extendedLimits, uintptr(unsafe.Pointer(&limits[0])), uintptr(len(limits)))
	kernel.NewProc("AssignProcessToJobObject").Call(job, self)
	return nil, func(int, int) []int { return nil }
}

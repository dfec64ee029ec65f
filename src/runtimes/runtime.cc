#include "runtimes/runtime.h"

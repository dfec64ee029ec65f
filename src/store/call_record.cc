#include "store/call_record.h"

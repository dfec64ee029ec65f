// One string member of a JSON object that has been checked before: seam hands functions nothing
// else.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// Finds the member `name` of the object in [json, json + size) whose value is a string, and decodes
// that in place. false: not an object, no such member, or its value is no string.
bool find_json_string(char* json, size_t size, const char* name, char** text, size_t* text_size);

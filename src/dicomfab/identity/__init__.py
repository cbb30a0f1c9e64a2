"""Where people prove who they are: directories by LDAP, identity providers by SAML and OpenID Connect.

Each module takes plain values and gives a :class:`~dicomfab.model.person.Person`; which roles that person has is
decided elsewhere, from the groups.
"""
